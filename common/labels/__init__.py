"""Labels, the decisions of people, and the pictures that they are about."""
