/* The subcommands of `leat`: each takes its own argv ("leat serve" is argv[0]) and returns the exit
 * code. One file each; the table is in main.c. */
#ifndef LEAT_COMMANDS_H
#define LEAT_COMMANDS_H

int serve_main(int argc, char **argv);
int load_main(int argc, char **argv);
int echo_main(int argc, char **argv);
int ping_main(int argc, char **argv);
int top_main(int argc, char **argv);
int ss_main(int argc, char **argv);
int doctor_main(int argc, char **argv);

#endif
