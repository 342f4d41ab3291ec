# SPDX-License-Identifier: Apache-2.0
proctrack_criterion(test_base_openmetrics test_base_openmetrics.c LIBS base)
proctrack_criterion(test_base_claim test_base_claim.c LIBS base)
proctrack_criterion(test_base_give_way test_base_give_way.c LIBS base)
