"""Memory images: which of their pages are a GHCB, a doorbell page, a VMSA or a secrets page."""
