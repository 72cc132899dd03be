"""Recipes: pictures that take several renders, or inputs prepared in a special way."""
