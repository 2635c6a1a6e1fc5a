#!/usr/bin/env bash
# Builds a .deb and an .rpm into dist/: a virtual environment below /opt that uses the system's Python 3.11 and nothing
# else of it, a unit for systemd, and the scripts in conf/packages. VERSION gives them another version than the source's.
set -euo pipefail

system_python=/usr/bin/python3.11
version=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' _version.py)}
build=$PWD/build/packages
stage=$build/stage
home=$stage/opt/gentrifugo

if ! "$system_python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "The packages use the Python 3.11 of the system, which is not here, or without venv." >&2
    echo "On Debian 12: sudo apt-get install python3.11 python3.11-venv" >&2
    exit 1
fi

put_together() {
    rm -rf "$build"
    mkdir -p "$home" "$stage/usr/bin" "$stage/usr/lib/systemd/system" "$stage/etc/logrotate.d" \
        "$stage/usr/share/doc/gentrifugo" dist
    "$system_python" -m venv "$home"
    local pip=("$home/bin/python" -m pip --quiet --quiet --disable-pip-version-check)
    "${pip[@]}" install --require-hashes --requirement requirements.txt
    "${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$build" .
    "${pip[@]}" install --no-deps "$build"/gentrifugo-*.whl
    "${pip[@]}" uninstall --yes pip setuptools
}

# The environment was made here and will live elsewhere: no path of this machine may stay in it.
move_to_opt() {
    rm -f "$home"/bin/{activate*,Activate*,pip*} "$home"/bin/*-script.py
    grep -lIr --exclude-dir=lib "^#!$home" "$home/bin" | xargs sed -i "1s|^#!$home|#!/opt/gentrifugo|"
    sed -i "s|$home|/opt/gentrifugo|g" "$home/pyvenv.cfg"
    find "$home" -name __pycache__ -type d -prune -exec rm -rf {} +
    rm -rf "$home"/lib/python*/site-packages/gentrifugo-*.dist-info/direct_url.json
    "$system_python" -m compileall -q -s "$stage" -p / "$home/lib"
}

add_files() {
    ln -s /opt/gentrifugo/bin/gentrifugo "$stage/usr/bin/gentrifugo"
    cp conf/systemd/gentrifugo.service "$stage/usr/lib/systemd/system/"
    cp conf/logrotate "$stage/etc/logrotate.d/gentrifugo"
    cp README.md "$home/"
    cp LICENSE "$stage/usr/share/doc/gentrifugo/copyright"
    chmod -R u=rwX,go=rX "$stage"
}

build_deb() {
    local root=$build/deb
    mkdir -p "$root/DEBIAN"
    cp -a "$stage/." "$root/"
    install -m 755 conf/packages/{postinst,prerm,postrm} "$root/DEBIAN/"
    sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$(dpkg --print-architecture)/" conf/packages/control >"$root/DEBIAN/control"
    echo /etc/logrotate.d/gentrifugo >"$root/DEBIAN/conffiles"
    dpkg-deb --root-owner-group --build "$root" dist/ >/dev/null
}

build_rpm() {
    {
        cat conf/packages/gentrifugo.spec
        printf '\n%%post\n' && cat conf/packages/postinst
        printf '\n%%preun\n' && cat conf/packages/prerm
    } >"$build/gentrifugo.spec"
    rpmbuild -bb --quiet --define "_topdir $build/rpm" --define "_rpmdir $PWD/dist" --define "version $version" \
        --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" --define "stage $stage" \
        "$build/gentrifugo.spec"
}

echo "Putting Gentrifugo $version together below /opt/gentrifugo"
put_together
move_to_opt
add_files
echo "Building the .deb"
build_deb
echo "Building the .rpm"
build_rpm
ls -1 dist/gentrifugo?"$version"*.deb dist/gentrifugo?"$version"*.rpm
