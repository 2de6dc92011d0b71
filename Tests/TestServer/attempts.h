// Attempts to get out of an instance, and what says how they went.

/// Tries everything, with the number of a neighbour's process and the paths of the daemon's and the proxy's sockets as
/// the host knows them. Prints a line for each attempt and one for all; 0 where none succeeded.
int try_everything(int count, char *const *arguments);

/// Takes memory until it is stopped.
int take_all_memory(void);
