"""Labels that people gave, and the pictures that they are for."""
