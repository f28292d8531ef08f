/**
 * A volume plugin of the test node: a FlexVolume driver that gives a folder of this machine, as a driver in a container
 * gives a disk. Claims lead to it where the proxy allows it by name.
 *
 * Source: Kubernetes, "Flexvolume"; `pkg/volume/flexvolume/driver-call.go`.
 *
 * @module
 */

/** The driver, as a PersistentVolume and `--allow-volume` name it. */
export const FOLDER_DRIVER = "signed-pods.test/folder";

const SCRIPT = `#!/bin/sh
succeed() { echo '{"status":"Success"}'; exit 0; }
case "$1" in
init) echo '{"status":"Success","capabilities":{"attach":false,"fsGroup":false}}' ;;
mount)
  folder=$(printf '%s' "$3" | sed -n 's/.*"folder":"\\([^"]*\\)".*/\\1/p')
  mkdir -p "$folder" "$2" && mount --bind "$folder" "$2" && succeed
  echo '{"status":"Failure","message":"the folder could not be mounted"}'; exit 1 ;;
unmount) umount "$2" && succeed; echo '{"status":"Failure"}'; exit 1 ;;
*) echo '{"status":"Not supported"}'; exit 1 ;;
esac
`;

/** Puts the driver where the kubelet looks for it. */
export async function installFolderDriver(pluginFolder: string): Promise<void> {
  const [vendor = "", name = ""] = FOLDER_DRIVER.split("/");
  const folder = `${pluginFolder}/${vendor}~${name}`;
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(`${folder}/${name}`, SCRIPT, { mode: 0o700 });
}
