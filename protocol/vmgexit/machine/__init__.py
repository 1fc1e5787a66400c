"""The machine: the state of vCPUs and VM, the commands that change it, and the rules by which they do."""
