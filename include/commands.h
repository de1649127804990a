/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Subcommands of `warder`: each gets argv with its own name as argv[0], prints, and returns
 * the exit status. 125 is warder's own error, as with podman. */
#ifndef WARDER_COMMANDS_H
#define WARDER_COMMANDS_H

#define EXIT_WARDER 125
#define EXIT_CANNOT_EXEC 126
#define EXIT_NOT_FOUND 127

#define WARDER_RELEASE "0.1.0"

int cmd_run(int argc, char **argv);
int cmd_enter(int argc, char **argv);
int cmd_adopt(int argc, char **argv);
int cmd_release(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_supervise(int argc, char **argv);
int cmd_top_denies(int argc, char **argv);
int cmd_ask(int argc, char **argv);
int cmd_keyring(int argc, char **argv);
int cmd_oci(int argc, char **argv);
int cmd_sign(int argc, char **argv);
/* keyring watch (cmd_keyring_watch.c); argv[0] is the verb. */
int cmd_keyring_watch(int argc, char **argv);
/* keyring attach (cmd_keyring_attach.c); the same. */
int cmd_keyring_attach(int argc, char **argv);
int cmd_request_key(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* policy check|fmt|compile|explain|test|...: no supervisor, no root (cmd_policy.c). */
int cmd_policy(int argc, char **argv);
/* policy load|list|show: through the supervisor (cmd_policy_live.c). argv[0] is the verb. */
int cmd_policy_live(int argc, char **argv);

struct warder_error;
/* Says `e` (or a plain sentence if it is empty) on stderr; returns EXIT_WARDER. */
int cmd_fail(const struct warder_error *e);

#endif
