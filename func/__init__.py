"""The HTTP function: thin, stateless, served by functions-framework."""
