"""What runs on the control machine, behind the plugins and the Makefile."""
