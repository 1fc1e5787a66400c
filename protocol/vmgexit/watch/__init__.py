"""What must hold while a machine runs: ledger, invariants, and the documented answers of calls."""
