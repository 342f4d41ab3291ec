/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

/* Where the programs and files are that belong to this one. Each returns a path to be freed, or
 * null: it is not there, or no memory. */

/* A file at this place relative to this program. */
char *program_beside_us(const char *relative);

/* A program in $PATH. */
char *program_in_path(const char *name);

#endif
