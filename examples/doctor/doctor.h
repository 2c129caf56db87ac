/* SPDX-License-Identifier: MIT */
/*
 * ktls-doctor: what its parts share.
 *
 * main.c      options, the order of the checks, the exit status
 * files.c     reads /proc and the like, below a root that tests choose
 * version.c   which upstream kernel this is, and which fixes it lacks
 * kernel.c    checks of the kernel, its module and the container
 * caps.c      checks of what ktls_probe() has tried
 * crypto.c    the ciphers, and the drivers behind them in /proc/crypto
 * system.c    checks of OpenSSL and of sysctls
 * nics.c      checks of network interfaces
 * host.c      --host: one connection
 * report.c    keeps checks and prints them; json.c prints everything
 */
#ifndef EXAMPLES_DOCTOR_H
#define EXAMPLES_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <ktls/ktls.h>

#include "../common/common.h"

/* The exit status. */
enum verdict {
	VERDICT_GOOD = 0,
	VERDICT_NOTES = 1,
	VERDICT_NONE = 2, /* no kernel TLS */
	VERDICT_HOST = 3  /* --host: no connection; or no output */
};

enum level {
	LEVEL_INFO, /* does not matter for the exit status */
	LEVEL_OK,
	LEVEL_NOTE, /* there is a risk or a cost */
	LEVEL_NO    /* it is not there */
};

struct check {
	const char *id; /* static; part of what --json promises */
	enum level level;
	char text[320];
	char advice[320]; /* what to do about it, or "" */
};

struct report {
	struct check checks[64];
	size_t count;
};

/* Add a check; more than there is room for are dropped. */
void report_add(struct report *r, const char *id, enum level level,
		const char *format, ...) __attribute__((format(printf, 4, 5)));
/* What to do about the check that was added last. */
void report_advise(struct report *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* files.c. A file may be absent, empty or damaged: that is never an error. */
void files_root(const char *root);
bool file_exists(const char *path);
/* The file as a string, cut at size; false, and "", when there is none. */
bool file_read(const char *path, char *text, size_t size);
/* As many numbers as the text begins with, at most max; how many. */
size_t numbers_parse(const char *text, uint64_t *numbers, size_t max);
/* The value of "name: value" in a text of such lines; false: none. */
bool field_find(const char *text, const char *name, char *value, size_t size);

/* The kernel, by what it says of itself. */
struct kernel {
	char release[128]; /* of uname(2) */
	char build[512];   /* /proc/version */
	char package[64];  /* the distribution's version, or "" */
	bool known;	   /* upstream is known: */
	unsigned int upstream[3];
};

/* An error of kernel TLS, and the patch levels that are without it. */
struct kernel_fix {
	const char *effect;
	unsigned int fixed61;  /* 6.1.y; 0: never had it */
	unsigned int fixed612; /* 6.12.y */
};

void kernel_read(struct kernel *kernel);
bool version_parse(const char *text, unsigned int version[3]);
/* True where there is a list for this series of kernels. */
bool kernel_series_listed(const struct kernel *kernel);
/* Fix i of those that the kernel lacks, newest first; NULL past the end. */
const struct kernel_fix *kernel_lacks(const struct kernel *kernel, size_t i);
unsigned int kernel_fixed(const struct kernel *kernel,
			  const struct kernel_fix *fix);

enum on_disk { DISK_NO_DIRECTORY, DISK_NO_MODULE, DISK_MODULE, DISK_BUILTIN };

/* What is around a kernel that has no module "tls" to attach. */
struct module {
	bool loaded;   /* or built in */
	bool locked;   /* no more modules until the next boot */
	bool loadable; /* the kernel has modules at all */
	enum on_disk on_disk;
	const char *container; /* its kind, or NULL; static */
	int seccomp;	       /* mode of /proc/self/status, -1: unknown */
};

const char *on_disk_name(enum on_disk on_disk);

/* The driver that the kernel takes for an algorithm. */
struct driver {
	char name[64]; /* "": none is known */
	uint64_t priority;
	bool async;
};

/* A cipher of kernel TLS: static facts. */
struct cipher {
	enum ktls_cipher bit;
	const char *algorithm; /* name in /proc/crypto */
	const char *module;
	bool wanted; /* OpenSSL offers it by default */
	bool tls12_only;
};
extern const struct cipher ciphers[8];

/* The best driver in the text of /proc/crypto. */
void driver_find(const char *text, const char *algorithm, struct driver *driver);

struct sysctls {
	size_t notsent_count, wmem_count; /* numbers that could be read */
	uint64_t notsent_lowat[1];
	uint64_t wmem[3];
};

struct nics {
	struct ktls_nic list[64];
	size_t count;
};

/* All interfaces but lo. */
void nics_read(struct nics *nics);
/* Could any of them encrypt? */
bool nic_has_any(const struct nics *nics);

struct host {
	const char *name;      /* as --host has it, NULL: not asked for */
	char error[400];       /* what failed, or "" */
	char certificate[128]; /* why it is not trusted, or "" */
	struct ktls_info info;
	struct ktls_nic nic; /* of the route; name "" when unknown */
};

/* All that was found. */
struct findings {
	struct kernel kernel;
	struct module module;
	bool probed; /* ktls_probe() gave an answer: */
	struct ktls_caps caps;
	struct driver drivers[ARRAY_SIZE(ciphers)];
	struct sysctls sysctls;
	struct nics nics;
	struct host host;
	struct report report;
	enum verdict verdict;
};

/* Each looks at one thing, keeps what it found, and adds its checks. */
void check_kernel(struct findings *f);
void check_module(struct findings *f);
void check_ciphers(struct findings *f);
void check_caps(struct findings *f);
void check_openssl(struct findings *f);
void check_container(struct findings *f);
void check_sysctls(struct findings *f);
void check_nics(struct findings *f);
void check_fixes(struct findings *f);
void check_host(struct findings *f);

bool caps_usable(const struct findings *f);
/* "the interface, and what of kernel TLS it does" */
enum level nic_describe(char *text, size_t size, const struct ktls_nic *nic);
void cipher_set(char *text, size_t size, uint32_t set);
/* The rows of the table of ciphers. */
void ciphers_print(FILE *out, const struct findings *f);

void print_text(FILE *out, const struct findings *f);
void print_json(FILE *out, const struct findings *f);

#endif
