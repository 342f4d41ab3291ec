# SPDX-License-Identifier: Apache-2.0
"""One module a group of figures; each gives rows for the table."""
