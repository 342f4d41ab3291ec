/* SPDX-License-Identifier: Apache-2.0 */

/* A shared object that is no plugin. */

int fixture_no_symbol(void);

int fixture_no_symbol(void)
{
    return 0;
}
