"""The two stacks: one holds what must never be lost, the other can be deleted and deployed again."""
