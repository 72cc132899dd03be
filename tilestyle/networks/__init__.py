"""Networks whose features pictures are compared by."""
