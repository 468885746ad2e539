"""Questions that come between wanting and doing."""
