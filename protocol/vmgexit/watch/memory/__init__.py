"""What must hold while an SVSM with memory runs: MEM-1 to MEM-12, and what its calls document."""
