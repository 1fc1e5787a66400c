"""What must hold while a machine runs: the ledger, the invariants, the documented answers."""
