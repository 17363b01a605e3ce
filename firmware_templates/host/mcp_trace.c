/* Hands every finished layer to the function that was set; on the host only, so it may keep one. */
static mcp_trace_function traced;

void mcp_trace_set(mcp_trace_function function)
{
    traced = function;
}

void mcp_trace(int index, const void *pointer, int bytes)
{
    if (traced) {
        traced(index, pointer, bytes);
    }
}
