"""The dashboard as it is served: the built page and the settings that it reads."""
