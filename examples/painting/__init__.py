"""How the styles that come with tilestyle are painted: a module a technique, and a module a picture."""
