#!/bin/sh
# Puts a release binary, what it links and how names are looked up into /images/NAME: the root of its image.
#
# usage: image-root.sh NAME      in the directory of the build, as root
set -eu

name=$1
root=/images/$name

install -D "target/release/$name" "$root/usr/local/bin/$name"
ldd "target/release/$name" | grep -o '/[^ ]*' | while read -r library; do
  install -D "$library" "$root$library"
done
mkdir -p "$root/etc"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'nobody:x:65532:65532::/:/nologin' >"$root/etc/passwd"
