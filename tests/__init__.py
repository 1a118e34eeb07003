"""A package, since a dependency installs a package of the same name, which would be found first."""
