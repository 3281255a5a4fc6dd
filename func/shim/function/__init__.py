"""The package that func's own builders import: `function.new` makes the ASGI application."""

from func.asgi import new as new
