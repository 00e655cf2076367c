"""The parts the stacks are composed of. Each owns its resource, its exact rights and the reasons of its exceptions."""
