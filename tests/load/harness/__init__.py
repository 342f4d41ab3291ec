# SPDX-License-Identifier: Apache-2.0
"""A broker under load for long: who loads it, what must hold meanwhile, and whether it grows."""
