"""Everything that is read of a project and its databases, in one order."""
