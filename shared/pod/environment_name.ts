/**
 * Names of environment variables that may come from content which nobody signed. The kubelet makes a variable of every
 * key that envFrom leads to and checks none of their names (`makeEnvironmentVariables`).
 *
 * @module
 */

/** A C identifier, which every program reads as one name. */
const C_IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Longest name, in characters: that of a ConfigMap's key with a prefix of the same length. */
const MAX_NAME_LENGTH = 506;

/** What loaders, the C library and the usual interpreters take for code, or for the way to it: beginnings of names. */
const OBEYED_PREFIXES: readonly string[] = [
  "LD_",
  "DYLD_",
  "BASH_FUNC_",
  "GIT_",
  "MALLOC_",
  "PERL",
  "PYTHON",
  "RUBY",
  "GEM_",
  "BUNDLE_",
  "NODE_",
  "NPM_CONFIG_",
  "LUA_",
  "PHP_INI_",
  "DOTNET_",
  "CORECLR_",
  "COMPLUS_",
  "COR_",
  "OPENSSL_",
  "JAVA_",
  "ERL_",
  "MONO_",
  "DENO_",
  "PIP_",
  "YARN_",
  "ANSIBLE_",
  "TF_CLI_",
  // Container runtimes give devices and libraries by them (`nvidia-container-runtime` and its like).
  "NVIDIA_",
  "HABANA_",
  "ASCEND_",
];

/** The same: whole names. */
const OBEYED_NAMES: ReadonlySet<string> = new Set([
  // The C library (ld.so(8), environ(7), iconv, resolver).
  "GCONV_PATH",
  "GETCONF_DIR",
  "GLIBC_TUNABLES",
  "HOSTALIASES",
  "LOCALDOMAIN",
  "LOCPATH",
  "NIS_PATH",
  "NLSPATH",
  "RES_OPTIONS",
  "TZDIR",
  // Shells (POSIX section 2.5.3, bash(1)), and where programs and their settings are found.
  "BASH_ENV",
  "BASHOPTS",
  "CDPATH",
  "ENV",
  "GLOBIGNORE",
  "HOME",
  "IFS",
  "PATH",
  "PROMPT_COMMAND",
  "PS0",
  "PS1",
  "PS2",
  "PS4",
  "SHELL",
  "SHELLOPTS",
  "ZDOTDIR",
  // What programs start for people.
  "BROWSER",
  "EDITOR",
  "EXINIT",
  "LESSOPEN",
  "LESSCLOSE",
  "PAGER",
  "MANPAGER",
  "PSQL_EDITOR",
  "VIMINIT",
  "VISUAL",
  // Interpreters and run times.
  "CLASSPATH",
  "JDK_JAVA_OPTIONS",
  "PHPRC",
  "_JAVA_OPTIONS",
  "GOTRACEBACK",
  "GODEBUG",
  "ELIXIR_ERL_OPTIONS",
  "R_PROFILE",
  "R_PROFILE_USER",
  "R_ENVIRON",
  "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES",
  "BUN_OPTIONS",
  "CAML_LD_LIBRARY_PATH",
  "OCAMLRUNPARAM",
  "TCLLIBPATH",
  "SSL_CERT_DIR",
  "SSL_CERT_FILE",
  "SSLKEYLOGFILE",
  // Build tools and archivers that take options, with commands among them, from their environment.
  "GOFLAGS",
  "MAKEFLAGS",
  "RUSTC_WRAPPER",
  "TAR_OPTIONS",
  // Libraries that load modules from where they are told, or read there what to run.
  "AWS_CONFIG_FILE",
  "CURL_HOME",
  "GDAL_DRIVER_PATH",
  "GIO_EXTRA_MODULES",
  "GIO_MODULE_DIR",
  "GST_PLUGIN_PATH",
  "GTK_MODULES",
  "GTK_PATH",
  "HGRCPATH",
  "KRB5_CONFIG",
  "KUBECONFIG",
  "ODBCINI",
  "ODBCINSTINI",
  "ODBCSYSINI",
  "PSQLRC",
  "QT_PLUGIN_PATH",
  "SASL_PATH",
  "WGETRC",
]);

/**
 * Whether a variable of this name may have a value that nobody signed: a C identifier that no loader, shell or
 * interpreter is known to obey. Capitals do not count: there are systems that do not tell them apart.
 */
export function isHarmlessVariable(name: string): boolean {
  if (name.length > MAX_NAME_LENGTH || !C_IDENTIFIER.test(name)) return false;
  const upper = name.toUpperCase();
  return !OBEYED_NAMES.has(upper) && !OBEYED_PREFIXES.some((prefix) => upper.startsWith(prefix));
}
