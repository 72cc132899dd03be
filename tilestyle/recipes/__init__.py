"""Ways of making a picture that use several renders."""
