// A machine of rmapcore in a C++ program: begins Python, opens, closes. Errors are exceptions with rmapcore's words.
#pragma once
#include "rmapcore.h"

#include <stdexcept>
#include <string>

inline void begin_python()
{
    if (Py_IsInitialized())
        return;
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyConfig_SetBytesString(&config, &config.program_name, PYTHON); // so that its environment is found
    const PyStatus status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status) || rmapcore_import() < 0) {
        PyErr_Print();
        throw std::runtime_error("rmapcore cannot be imported by " PYTHON);
    }
}

class Machine
{
    rmapcore_machine handle = 0;

public:
    // An answer that is no error code.
    static int64_t good(int64_t answer)
    {
        if (answer < 0)
            throw std::runtime_error(rmapcore_message());
        return answer;
    }

    Machine() { begin_python(); }
    explicit Machine(const std::string &specification) : Machine()
    {
        good(rmapcore_open(specification.c_str(), &handle));
        good(rmapcore_hold(handle));
    }
    ~Machine() { drop(); }
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;

    void load(const std::string &path)
    {
        drop();
        good(rmapcore_load(path.c_str(), &handle));
        good(rmapcore_hold(handle));
    }
    void drop()
    {
        if (handle)
            rmapcore_close(handle);
        handle = 0;
    }
    operator rmapcore_machine() const { return handle; }
};
