# SPDX-License-Identifier: Apache-2.0
proctrack_criterion(test_base_openmetrics test_base_openmetrics.c LIBS base)
