# SPDX-License-Identifier: Apache-2.0
"""What bench/run drives: the machine, programs, peers, and the figures."""
