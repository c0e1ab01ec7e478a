"""The databases of an application, and what surrounds a change of them."""
