#ifndef KILN_ATTRIBUTES_H
#define KILN_ATTRIBUTES_H

#include <stddef.h>

/* fsetxattr and lsetxattr, which Glibc's Swift module leaves out: 0, or -1 and errno. */
int kiln_set_attribute(int descriptor, const char *name, const void *value, size_t size);
int kiln_set_link_attribute(const char *path, const char *name, const void *value, size_t size);

/* fgetxattr: the size of the value, or -1 and errno. */
long kiln_get_attribute(int descriptor, const char *name, void *value, size_t size);

#endif
