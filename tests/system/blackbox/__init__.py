# SPDX-License-Identifier: Apache-2.0
"""A client of wpsd and proctrack that knows PROTOCOL.md and nothing else of them."""
