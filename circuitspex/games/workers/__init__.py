"""Masks played by processes on this machine and others, which Ray starts and watches."""
