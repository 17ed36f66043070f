"""Files of other tools: Graphviz, Mermaid, GraphML, GEXF, Neuronpedia, EAP-IG, shapiq, CSV."""
