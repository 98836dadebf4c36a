"""The instruments that read faces: landmarks, attributes, regions and identity."""
