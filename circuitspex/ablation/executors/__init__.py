"""How ablations are run: through hooks, many masks a pass, or fused; and path patching."""
