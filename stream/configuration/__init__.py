"""How a file of configuration is read: places, variables, its form, and what contradicts itself."""
