"""The direction sets that come with navbench, by generator, method and layer or latent space; data alone."""
