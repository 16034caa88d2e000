"""What writes the documentation: READMEs of roles, the page of inputs, the picture of the architecture."""
