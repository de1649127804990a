/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that several tests make, for h_run(): the errno, or 0. None of them changes anything. */
#ifndef WARDER_OPS_H
#define WARDER_OPS_H

int op_syslog(void *arg);
/* To the time that it is. */
int op_settime(void *arg);
/* To "vm". */
int op_sethostname(void *arg);
/* Of what is no module: ENOEXEC where nobody refuses. */
int op_init_module(void *arg);
int op_finit_module(void *arg);
/* Of what is no kernel: likewise. */
int op_kexec_file(void *arg);

#endif
