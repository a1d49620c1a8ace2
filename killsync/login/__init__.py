"""EVE SSO: logging in, access tokens, and what becomes of them."""
