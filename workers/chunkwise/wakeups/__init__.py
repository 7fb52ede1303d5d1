"""How a worker hears that there is work before it would look by itself."""
