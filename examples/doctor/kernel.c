/* SPDX-License-Identifier: MIT */
/* Checks of the kernel, of its module "tls", and of a container around us. */
#include <errno.h>
#include <string.h>

#include "doctor.h"

void check_kernel(struct findings *f)
{
	const struct kernel *k = &f->kernel;
	char version[40] = "";
	const char *before = ", upstream ";

	kernel_read(&f->kernel);
	if (k->known)
		snprintf(version, sizeof(version), "%u.%u.%u", k->upstream[0],
			 k->upstream[1], k->upstream[2]);
	/* once is enough */
	if (!k->known || strncmp(k->release, version, strlen(version)) == 0 ||
	    strncmp(k->package, version, strlen(version)) == 0) {
		version[0] = '\0';
		before = "";
	}
	report_add(&f->report, "kernel", LEVEL_INFO, "Linux %s%s%s%s%s",
		   *k->release ? k->release : "of unknown release",
		   *k->package ? ", package " : "", k->package, before, version);
}

/* What sandboxes with a kernel of their own say in /proc/version. */
static bool is_gvisor(const struct kernel *k)
{
	return strstr(k->build, "gVisor") ||
	       strstr(k->build, "#1 SMP Sun Jan 10 15:06:54 PST 2016");
}

static const char *container_kind(const struct kernel *k)
{
	static const char *const words[][2] = {
		{"kubepods", "Kubernetes"},
		{"libpod", "podman"},
		{"docker", "docker"},
		{"containerd", "containerd"},
		{"lxc", "LXC"},
	};
	char cgroup[4096];

	if (is_gvisor(k))
		return "gVisor";
	if (file_exists("/var/run/secrets/kubernetes.io"))
		return "Kubernetes";
	if (file_exists("/run/.containerenv"))
		return "podman";
	if (file_exists("/.dockerenv"))
		return "docker";
	file_read("/proc/1/cgroup", cgroup, sizeof(cgroup));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(cgroup, words[i][0]))
			return words[i][1];
	return NULL;
}

static enum on_disk find_on_disk(const char *release)
{
	static const char *const dirs[] = {"/lib/modules", "/usr/lib/modules"};
	static const char *const ends[] = {"", ".xz", ".zst", ".gz"};
	enum on_disk found = DISK_NO_DIRECTORY;
	static char builtin[1 << 16];
	char path[512];

	for (size_t d = 0; *release && d < ARRAY_SIZE(dirs); d++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[d], release);
		if (!file_exists(path))
			continue;
		found = DISK_NO_MODULE;
		snprintf(path, sizeof(path), "%s/%s/modules.builtin", dirs[d],
			 release);
		file_read(path, builtin, sizeof(builtin));
		if (strstr(builtin, "kernel/net/tls/tls.ko"))
			return DISK_BUILTIN;
		for (size_t e = 0; e < ARRAY_SIZE(ends); e++) {
			snprintf(path, sizeof(path),
				 "%s/%s/kernel/net/tls/tls.ko%s", dirs[d],
				 release, ends[e]);
			if (file_exists(path))
				return DISK_MODULE;
		}
	}
	return found;
}

const char *on_disk_name(enum on_disk on_disk)
{
	static const char *const names[] = {
		[DISK_NO_DIRECTORY] = "no-directory",
		[DISK_NO_MODULE] = "no",
		[DISK_MODULE] = "yes",
		[DISK_BUILTIN] = "builtin",
	};

	return names[on_disk];
}

static void module_read(struct module *m, const struct kernel *k)
{
	char text[4096];
	char value[32];
	uint64_t number = 0;

	m->loaded = file_exists("/sys/module/tls");
	m->loadable = file_exists("/proc/modules");
	file_read("/proc/sys/kernel/modules_disabled", text, sizeof(text));
	m->locked = numbers_parse(text, &number, 1) == 1 && number != 0;
	m->on_disk = find_on_disk(k->release);
	m->container = container_kind(k);
	m->seccomp = -1;
	file_read("/proc/self/status", text, sizeof(text));
	if (field_find(text, "Seccomp", value, sizeof(value)) &&
	    numbers_parse(value, &number, 1) == 1)
		m->seccomp = number <= 2 ? (int)number : -1;
}

/* There is no ULP "tls": where could it come from? */
static void advise_module(struct report *r, const struct module *m)
{
	if (m->container && strcmp(m->container, "gVisor") == 0)
		report_advise(r,
			      "gVisor's kernel has none: use another runtime "
			      "for this workload, such as runc");
	else if (m->locked)
		report_advise(r, "modules are locked until the next boot: have "
				 "tls loaded then, by /etc/modules-load.d");
	else if (m->on_disk == DISK_MODULE)
		report_advise(r, "as root: modprobe tls; for every boot: echo "
				 "tls >/etc/modules-load.d/tls.conf");
	else if (!m->loadable && m->container)
		report_advise(r, "this kernel takes no modules, and is the "
				 "host's: ask there for one with CONFIG_TLS");
	else if (m->container)
		report_advise(r,
			      "a container has no modules of its own: on the "
			      "host, as root: modprobe tls");
	else if (!m->loadable)
		report_advise(r, "this kernel takes no modules: boot one that "
				 "was built with CONFIG_TLS");
	else if (m->on_disk == DISK_NO_MODULE)
		report_advise(r,
			      "this kernel comes without it: install the "
			      "package with its further modules, or a kernel "
			      "with CONFIG_TLS");
	else
		report_advise(r, "as root: modprobe tls; the kernel's modules "
				 "are not installed where this program sees "
				 "them");
}

static void add_refused(struct findings *f)
{
	const enum ktls_reason reason = (enum ktls_reason)f->caps.reason;
	struct report *r = &f->report;
	const char *text = ktls_reason_str(reason);
	size_t len = strlen(text);

	/* not to be tried where the kernel takes no modules */
	if (reason == KTLS_REASON_NO_ULP &&
	    (f->module.locked || !f->module.loadable))
		len = strcspn(text, "(");
	while (len > 0 && text[len - 1] == ' ')
		len--;
	report_add(r, "module", LEVEL_NO, "%s: %.*s%s%s%s%s",
		   ktls_reason_name(reason), (int)len, text,
		   f->caps.call ? "; " : "", f->caps.call ? f->caps.call : "",
		   f->caps.sys_errno ? ": " : "",
		   f->caps.sys_errno ? strerror(f->caps.sys_errno) : "");
	if (reason == KTLS_REASON_NO_ULP && !f->module.loaded)
		advise_module(r, &f->module);
	else if (reason == KTLS_REASON_SYSTEM && f->caps.call &&
		 strncmp(f->caps.call, "setsockopt", 10) != 0)
		report_advise(r, "this was tried over loopback, which has to "
				 "work: ip link set lo up");
	else if (f->module.seccomp == 2)
		report_advise(r,
			      "a seccomp filter is in force: its profile has "
			      "to let setsockopt through");
	else
		report_advise(r, "ktls_reasons(7) says what this reason means");
}

void check_module(struct findings *f)
{
	int error = 0;

	module_read(&f->module, &f->kernel);
	f->caps.size = sizeof(f->caps);
	f->probed = ktls_probe(&f->caps, 1) == 0;
	if (!f->probed) {
		error = errno;
		report_add(&f->report, "module", LEVEL_NO,
			   "could not be tried over loopback: %s",
			   strerror(error));
		report_advise(
			&f->report,
			"the interface lo has to be up: ip link set lo up");
	} else if (f->caps.reason != KTLS_REASON_NONE) {
		add_refused(f);
	} else {
		report_add(&f->report, "module", LEVEL_OK,
			   "\"tls\" can be attached to a connection");
	}
	if (f->probed && f->caps.disabled) {
		report_add(&f->report, "environment", LEVEL_NOTE,
			   "KTLS_DISABLE=1 keeps libktls in user space");
		report_advise(&f->report, "unset KTLS_DISABLE");
	}
}

void check_container(struct findings *f)
{
	const struct module *m = &f->module;

	if (!m->container && m->seccomp < 1)
		return;
	report_add(&f->report, "container", LEVEL_INFO, "%s%s%s",
		   m->container ? m->container : "none seen",
		   m->container && strcmp(m->container, "gVisor") != 0
			   ? ": kernel and modules are the host's"
			   : "",
		   m->seccomp > 0 ? "; a seccomp filter is in force" : "");
}

void check_fixes(struct findings *f)
{
	const struct kernel *k = &f->kernel;
	const struct kernel_fix *fix;
	struct report *r = &f->report;
	unsigned int last = 0;
	size_t n = 0;

	if (!kernel_series_listed(k)) {
		report_add(r, "fixes", LEVEL_INFO,
			   "no list for this series of kernels");
		return;
	}
	for (; (fix = kernel_lacks(k, n)) != NULL; n++)
		if (kernel_fixed(k, fix) > last)
			last = kernel_fixed(k, fix);
	if (n == 0) {
		report_add(r, "fixes", LEVEL_OK,
			   "%u.%u.%u has all that are known (by its number)",
			   k->upstream[0], k->upstream[1], k->upstream[2]);
		return;
	}
	fix = kernel_lacks(k, 0);
	report_add(r, "fixes", LEVEL_NOTE,
		   "%u.%u.%u lacks %zu, by its number, which is but a hint: "
		   "distributions backport. %s%s",
		   k->upstream[0], k->upstream[1], k->upstream[2], n,
		   n > 1 ? "One: " : "", fix->effect);
	report_advise(r, "%u.%u.%u has all; --json lists them", k->upstream[0],
		      k->upstream[1], last);
}
