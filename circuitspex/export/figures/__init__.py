"""Diagrams and plots by matplotlib: PNG, PDF and SVG."""
