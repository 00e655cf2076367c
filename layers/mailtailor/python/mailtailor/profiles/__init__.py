"""Who a recipient is and what we remember of them."""
